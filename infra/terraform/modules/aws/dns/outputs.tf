output "origin" {
  description = "Name that the CDN asks."
  value       = "origin.${var.domain}"
}
