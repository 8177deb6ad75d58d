output "address" {
  description = "The address: also a proxy that the platform believes (GENAI_PROXIES__TRUSTED)."
  value       = google_compute_global_address.this.address
}

output "endpoints" {
  description = "Name of the groups of endpoints that GKE is asked to keep."
  value       = local.endpoints
}
