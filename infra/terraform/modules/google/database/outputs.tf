output "instance" {
  description = "Name of the instance."
  value       = google_sql_database_instance.this.name
}

output "address" {
  description = "Its private address."
  value       = google_sql_database_instance.this.private_ip_address
}

output "secret_ids" {
  description = "Secrets with its address and with the authorities."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.id }
}

output "secret_names" {
  description = "Those secrets as the cluster asks for them."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}
