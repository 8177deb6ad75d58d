output "deployment" {
  description = "What infra/k8s, the workflows and operators are told."
  value       = module.platform.deployment
}
