"""The platform on Kubernetes: manifests for kustomize, and what writes and moves parts of them. See docs/kubernetes.md."""
