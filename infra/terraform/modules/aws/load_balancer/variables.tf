variable "name" {
  type        = string
  description = "Name of the load balancer."
}

variable "vpc_id" {
  type        = string
  description = "The network."
}

variable "cidr" {
  type        = string
  description = "Addresses of the network."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Public subnets."
}

variable "certificate_arn" {
  type        = string
  description = "Certificate of the region."
}

variable "firewall_arn" {
  type        = string
  description = "Rules of WAF, of the scope REGIONAL."
}

variable "logs_bucket" {
  type        = string
  description = "Bucket of access logs."
}
