"""The language of the API: requests parsed, problems, the OpenAPI document, pages, and what surrounds every answer."""
