output "platform_policy_arn" {
  description = "What the platform may do."
  value       = aws_iam_policy.platform.arn
}

output "workload_role_arns" {
  description = "Roles of service accounts: platform (genai/genai), certificates, metrics."
  value       = { for name, role in aws_iam_role.workload : name => role.arn }
}

output "delivery_role_arn" {
  description = "Role of GitHub's workflows; null where no repository is named."
  value       = one(aws_iam_role.delivery[*].arn)
}
