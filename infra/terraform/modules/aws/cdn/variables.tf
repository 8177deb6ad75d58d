variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "origin" {
  type        = string
  description = "Name of the origin, which fails over between regions."
}

variable "certificate_arn" {
  type        = string
  description = "Certificate in us-east-1, where CloudFront looks for it."
}

variable "firewall_arn" {
  type        = string
  description = "Rules of WAF, of the scope CLOUDFRONT."
}

variable "logs_bucket" {
  type        = string
  description = "Bucket of access logs."
}
