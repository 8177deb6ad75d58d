output "arn" {
  description = "The database, for a replica elsewhere."
  value       = aws_db_instance.this.arn
}

output "identifier" {
  description = "Its name, as metrics have it."
  value       = aws_db_instance.this.identifier
}

output "endpoint" {
  description = "Address and port."
  value       = aws_db_instance.this.endpoint
}

output "url_secret_arn" {
  description = "Secret of GENAI_DATABASE_URL."
  value       = aws_secretsmanager_secret.url.arn
}
