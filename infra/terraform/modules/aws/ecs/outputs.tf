output "security_group_id" {
  description = "Security group of the tasks."
  value       = aws_security_group.this.id
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}
