output "url_secret_arn" {
  description = "Secret of GENAI_REDIS_URL."
  value       = aws_secretsmanager_secret.url.arn
}

output "first_node" {
  description = "Its first node, as metrics have it."
  value       = "${aws_elasticache_replication_group.this.replication_group_id}-001"
}
