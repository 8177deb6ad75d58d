output "dns_name" {
  description = "Its name in AWS' zone."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "AWS' zone of that name."
  value       = aws_lb.this.zone_id
}

output "security_group_id" {
  description = "Its security group."
  value       = aws_security_group.this.id
}

output "target_group_arn" {
  description = "Where servers are registered."
  value       = aws_lb_target_group.this.arn
}

output "request_label" {
  description = "As ALBRequestCountPerTarget names it."
  value       = "${aws_lb.this.arn_suffix}/${aws_lb_target_group.this.arn_suffix}"
}

output "arn_suffix" {
  description = "As metrics name it."
  value       = aws_lb.this.arn_suffix
}
