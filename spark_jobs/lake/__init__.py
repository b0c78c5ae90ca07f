"""The Delta tables as `schemas.tables` describes them: made, merged, read in part, checked and cared for."""
