output "id" {
  description = "The registry."
  value       = azurerm_container_registry.this.id
}

output "address" {
  description = "Where images are pushed to and pulled from."
  value       = azurerm_container_registry.this.login_server
}
