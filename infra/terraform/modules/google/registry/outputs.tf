output "name" {
  description = "Name of the repository."
  value       = google_artifact_registry_repository.this.name
}

output "location" {
  description = "Where it is."
  value       = google_artifact_registry_repository.this.location
}
