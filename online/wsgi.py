"""What gunicorn serves: `gunicorn -c python:online.gunicorn_conf online.wsgi:app`."""

import os

from online.app import create_app
from online.config import SearcherConfig
from online.telemetry.logs import configure_logging
from online.worker import config_of_master, others_answer, work_aside

configure_logging()
config = config_of_master() or SearcherConfig.from_env(os.environ)
app = create_app(config, work_aside=work_aside, others_answer=others_answer)
