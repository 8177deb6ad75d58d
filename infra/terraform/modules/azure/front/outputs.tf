output "guid" {
  description = "Front Door's own identifier, by which the gateways know it."
  value       = azurerm_cdn_frontdoor_profile.this.resource_guid
}
