output "arn" {
  description = "The list of rules."
  value       = aws_wafv2_web_acl.this.arn
}
