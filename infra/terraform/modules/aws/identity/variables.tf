variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "environment" {
  type        = string
  description = "GitHub's environment whose workflows may push images."
}

variable "bucket_arn" {
  type        = string
  description = "Bucket of files."
}

variable "rest_key_arn" {
  type        = string
  description = "Key of what is at rest."
}

variable "tenants_key_arn" {
  type        = string
  description = "Key that wraps tenants' keys."
}

variable "secret_arns" {
  type        = list(string)
  description = "Secrets that the platform reads."
}

variable "model_arns" {
  type        = list(string)
  description = "Models and inference profiles of Bedrock that it may call."
  default     = []
}

variable "metrics_workspace_arn" {
  type        = string
  description = "Workspace that metrics are written to."
}

variable "zone_id" {
  type        = string
  description = "Zone in which certificates are proved."
}

variable "registry_arn" {
  type        = string
  description = "Repository that images are pushed to."
}

variable "kubernetes" {
  type        = bool
  description = "Service accounts of Kubernetes have roles."
}

variable "workload_issuer" {
  type        = string
  description = "Issuer of the tokens of Kubernetes' service accounts; null where there is no Kubernetes."
  default     = null
}

variable "workload_provider_arn" {
  type        = string
  description = "IAM's provider for that issuer."
  default     = null
}

variable "repository" {
  type        = string
  description = "OWNER/NAME on GitHub whose workflows may push images; null: none."
  default     = null
}
