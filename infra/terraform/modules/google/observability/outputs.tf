output "channels" {
  description = "Who is told, for budgets too."
  value       = [for channel in google_monitoring_notification_channel.operators : channel.id]
}
