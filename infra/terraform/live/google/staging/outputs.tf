output "deployment" {
  description = "What infra/k8s, the workflows and operators are told."
  value       = module.platform.deployment
}

output "address" {
  description = "The address of the load balancer."
  value       = module.load_balancer.address
}
