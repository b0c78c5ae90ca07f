"""What the searcher takes and answers. The OpenAPI document is made from these models."""
