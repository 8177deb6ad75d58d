output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "security_group_id" {
  description = "Security group of its nodes and pods."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "issuer" {
  description = "Issuer of service accounts' tokens."
  value       = aws_eks_cluster.this.identity[0].oidc[0].issuer
}

output "provider_arn" {
  description = "IAM's provider for that issuer."
  value       = aws_iam_openid_connect_provider.this.arn
}

output "ingress_controller" {
  description = "What makes load balancers of Ingresses: Auto Mode's own controller, which `elastic_load_balancing` turns on."
  value       = "eks.amazonaws.com/alb"
}
