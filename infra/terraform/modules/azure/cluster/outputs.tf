output "id" {
  description = "The cluster."
  value       = azurerm_kubernetes_cluster.this.id
}

output "name" {
  description = "Name of the cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "issuer" {
  description = "Issuer of service accounts' tokens."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}
