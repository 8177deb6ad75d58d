output "workspace_arn" {
  description = "Workspace of Prometheus."
  value       = aws_prometheus_workspace.this.arn
}

output "endpoint" {
  description = "Its address, with a slash at its end."
  value       = aws_prometheus_workspace.this.prometheus_endpoint
}
