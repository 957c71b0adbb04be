"""Model folders that the services load: graphs, cards, variants."""
