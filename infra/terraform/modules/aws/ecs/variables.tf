variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "image" {
  type        = string
  description = "Image of the platform with its tag."
}

variable "collector_image" {
  type        = string
  description = "Image of AWS' distribution of the OpenTelemetry collector."
  default     = "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.1"
}

variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "vpc_id" {
  type        = string
  description = "The network."
}

variable "cidr" {
  type        = string
  description = "Addresses of the network."
}

variable "proxy_networks" {
  type        = list(string)
  description = "Networks of the proxies that are believed about a caller's address."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Private subnets."
}

variable "load_balancer" {
  type = object({
    security_group_id = string
    target_group_arn  = string
    request_label     = string
  })
  description = "The load balancer in front."
}

variable "bucket" {
  type        = string
  description = "Bucket of files."
}

variable "tenants_alias" {
  type        = string
  description = "Alias of the key that wraps tenants' keys."
}

variable "kms_key_arn" {
  type        = string
  description = "Key of logs and secrets."
}

variable "registry_arn" {
  type        = string
  description = "Repository of the image."
}

variable "platform_policy_arn" {
  type        = string
  description = "What the platform itself may do."
}

variable "metrics_workspace_arn" {
  type        = string
  description = "Workspace that metrics are written to."
}

variable "metrics_endpoint" {
  type        = string
  description = "Address of that workspace."
}

variable "secrets" {
  type        = map(string)
  description = "ARNs of secrets by the setting that each of them is."
}

variable "settings" {
  type        = map(string)
  description = "Further settings of the platform."
  default     = {}
}

variable "server" {
  type = object({
    cpu    = number
    memory = number
    least  = number
    most   = number
  })
  description = "Size of a server (CPU units, MiB), and how many there are."
}

variable "worker" {
  type = object({
    cpu    = number
    memory = number
    least  = number
    most   = number
  })
  description = "Size of a worker (CPU units, MiB), and how many there are."
}

variable "requests_per_minute" {
  type        = number
  description = "Requests of a minute that one server is meant to answer."
  default     = 600
}
