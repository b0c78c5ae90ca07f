"""The parts of `fetch_images`: links, addresses, requests, lanes and checks. Only `whole_set` and `work` know Spark."""
