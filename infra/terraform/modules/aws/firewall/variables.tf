variable "name" {
  type        = string
  description = "Name of the list of rules."
}

variable "scope" {
  type        = string
  description = "REGIONAL for a load balancer, CLOUDFRONT (in us-east-1) for the CDN."
}

variable "requests_per_address" {
  type        = number
  description = "Requests of one address in five minutes; those beyond are refused."
  default     = 10000
}

variable "kms_key_arn" {
  type        = string
  description = "Key of the logs, in the region of the rules."
}
