"""The WSGI app of one worker."""

import atexit
from collections.abc import Callable
from contextlib import nullcontext

from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from opentelemetry.trace import Tracer
from werkzeug.middleware.proxy_fix import ProxyFix

from online.access.admission import admit_requests, describe_admission
from online.access.cross_origin import allow_origins
from online.access.rate_limits import limit_requests, open_rate_limits
from online.api.answering import surround_requests
from online.api.bodies import StrictRequest
from online.api.document import describe
from online.api.pages import add_pages
from online.api.problems import answer_problems
from online.config import SearcherConfig
from online.routes import add_search_routes, add_state_routes
from online.searcher import assemble_searcher
from online.snapshots.snapshot import EncoderLoader, WorkAside
from online.telemetry.tracing import open_tracer


def create_app(
    config: SearcherConfig,
    load_encoder: EncoderLoader | None = None,
    *,
    watch: bool = True,
    tracer: Tracer | None = None,
    work_aside: WorkAside = nullcontext,
    others_answer: Callable[[], bool] = lambda: False,
) -> OpenAPI:
    """With `watch` it follows CURRENT; without, `extensions["searcher"]` is driven by hand. Spans go to `tracer`, or to
    the collector that the configuration asks for. A snapshot is made inside `work_aside()`. While `others_answer()`,
    workers beside this one, it serves what they do until what CURRENT names is fetched.

    Raises Misconfigured where a setting is wrong. A store that does not answer is no error: it may come back.
    """
    searcher = assemble_searcher(config, load_encoder, work_aside, others_answer)
    app = OpenAPI("online", info=Info(title="ShopLens", version="1"), doc_ui=False)
    app.extensions["searcher"] = searcher
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.request_class = StrictRequest
    if tracer is None and config.traces:
        tracer = open_tracer()
    surround_requests(app, searcher.metrics, config.body_max_bytes, tracer)
    allow_origins(app, config.cross_origin)
    admit_requests(app, config.api_keys)
    limit_requests(app, open_rate_limits(config.limits, config.shared_folder, searcher.metrics.rate_limit_failures.inc))
    answer_problems(app)
    add_search_routes(app, searcher)
    add_state_routes(app, searcher)
    add_pages(app)
    describe(app, with_links=bool(config.image_links))
    describe_admission(app)
    if config.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=config.trusted_proxies, x_proto=0)  # type: ignore[method-assign]
    if watch:
        searcher.spool.close_orphans()
        atexit.register(searcher.spool.close)
        searcher.watcher.start(config.first_look_wait_s)
    return app
