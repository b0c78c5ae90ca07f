"""How well a model finds its way in a labelled catalog: its photos and labels, whose are unseen, the ranking, a report."""
