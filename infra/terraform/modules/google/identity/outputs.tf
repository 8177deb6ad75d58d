output "service_accounts" {
  description = "Service accounts of the platform (app) and of cert-manager (certs)."
  value       = { for name, account in google_service_account.this : name => account.email }
}

output "delivery_account" {
  description = "Service account of GitHub's workflows; null where no repository is named."
  value       = one(google_service_account.delivery[*].email)
}

output "delivery_provider" {
  description = "Provider by which they sign in; null where no repository is named."
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
}
