output "id" {
  description = "The server."
  value       = azurerm_postgresql_flexible_server.this.id
}

output "fqdn" {
  description = "Its address."
  value       = azurerm_postgresql_flexible_server.this.fqdn
}
