output "rest_arn" {
  description = "Key of what is at rest."
  value       = aws_kms_key.rest.arn
}

output "tenants_arn" {
  description = "Key that wraps tenants' keys."
  value       = var.second ? aws_kms_replica_key.tenants[0].arn : aws_kms_key.tenants[0].arn
}

output "tenants_alias" {
  description = "GENAI_ENCRYPTION__KEY_ID."
  value       = aws_kms_alias.tenants.name
}
