output "account_id" {
  description = "The account."
  value       = azurerm_storage_account.this.id
  depends_on  = [azurerm_storage_container.files]
}

output "account_name" {
  description = "AZURE_STORAGE_ACCOUNT_NAME."
  value       = azurerm_storage_account.this.name
}

output "container" {
  description = "Container of GENAI_FILES_URL."
  value       = azurerm_storage_container.files.name
}
