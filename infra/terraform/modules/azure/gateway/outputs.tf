output "id" {
  description = "The gateway."
  value       = azurerm_application_gateway.this.id
}

output "host_name" {
  description = "Its name in Azure's zone."
  value       = azurerm_public_ip.this.fqdn
}
