output "log_workspace_id" {
  description = "Workspace of logs."
  value       = azurerm_log_analytics_workspace.this.id
}

output "metrics_endpoint" {
  description = "Where Prometheus is asked."
  value       = azurerm_monitor_workspace.this.query_endpoint
}
