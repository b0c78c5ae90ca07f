"""Files by key, in a folder or in S3, with the conditional writes that publishing stands on."""
