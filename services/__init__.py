"""The processes of the cluster, a folder each; they never import each other (allinone wires them)."""
