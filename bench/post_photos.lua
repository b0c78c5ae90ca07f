-- wrk: bodies from the files body-1, body-2, … of BENCH_BODIES, in turn; each thread begins elsewhere.
local folder, bodies, at = os.getenv("BENCH_BODIES"), {}, 0

function setup(thread)
  at = at + 17
  thread:set("at", at)
end

function init(arguments)
  while true do
    local file = io.open(folder .. "/body-" .. (#bodies + 1), "rb")
    if not file then break end
    bodies[#bodies + 1] = file:read("*a")
    file:close()
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = os.getenv("BENCH_CONTENT_TYPE")
end

function request()
  at = at + 1
  return wrk.format(nil, nil, nil, bodies[at % #bodies + 1])
end

function done(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  io.write(string.format("FIGURES %f %d %f %f\n", summary.requests / summary.duration * 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
