output "network_id" {
  description = "The network."
  value       = azurerm_virtual_network.this.id
}

output "subnet_ids" {
  description = "Subnets: gateway, nodes, endpoints, database."
  value       = merge({ for name, subnet in azurerm_subnet.this : name => subnet.id }, { database = azurerm_subnet.database.id })
}

output "zone_ids" {
  description = "Private DNS zones: database, blob, vault, cache, registry."
  value       = { for name, zone in azurerm_private_dns_zone.this : name => zone.id }
  depends_on  = [azurerm_private_dns_zone_virtual_network_link.this]
}
