"""How the packaged model is trained: captions, views → losses → fit. Only its heads and last blocks ever change."""
