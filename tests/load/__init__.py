"""The benchmark: the cluster beside its own limit, in one run (`make bench`). No test lives here."""
