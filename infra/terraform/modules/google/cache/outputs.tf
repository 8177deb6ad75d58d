output "instance" {
  description = "Name of the instance."
  value       = google_redis_instance.this.name
}

output "authorities" {
  description = "Authorities of its certificate, PEM."
  value       = google_redis_instance.this.server_ca_certs[*].cert
}

output "secret_id" {
  description = "Secret of GENAI_REDIS_URL."
  value       = google_secret_manager_secret.url.id
}

output "secret_name" {
  description = "That secret as the cluster asks for it."
  value       = google_secret_manager_secret.url.secret_id
}
