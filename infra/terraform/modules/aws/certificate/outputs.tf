output "arn" {
  description = "The certificate, once it is proved."
  value       = aws_acm_certificate_validation.this.certificate_arn
}
