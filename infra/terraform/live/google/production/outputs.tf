output "deployment" {
  description = "What infra/k8s, the workflows and operators are told."
  value       = module.platform.deployment
}

output "address" {
  description = "The address of the load balancer."
  value       = module.load_balancer.address
}

output "second_deployment" {
  description = "The same of the second region."
  value       = module.second.deployment
}
