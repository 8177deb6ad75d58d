output "id" {
  description = "The cache."
  value       = azurerm_managed_redis.this.id
}
