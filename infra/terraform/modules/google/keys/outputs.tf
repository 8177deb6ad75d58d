output "rest_id" {
  description = "Key of what is at rest."
  value       = google_kms_crypto_key.rest.id
  depends_on  = [google_kms_crypto_key_iam_member.rest]
}

output "tenants_id" {
  description = "GENAI_ENCRYPTION__KEY_ID; null in a second region."
  value       = one(google_kms_crypto_key.tenants[*].id)
}
