output "distribution" {
  description = "Name and zone for the public record."
  value = {
    dns_name = aws_cloudfront_distribution.this.domain_name
    zone_id  = aws_cloudfront_distribution.this.hosted_zone_id
  }
}
