variable "name" {
  type        = string
  description = "Name of the cluster."
}

variable "kubernetes_version" {
  type        = string
  description = "Version of Kubernetes, as MAJOR.MINOR."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Private subnets of control plane and nodes."
}

variable "administrators" {
  type        = map(string)
  description = "ARNs of roles that administer the cluster, by what they are."
}

variable "kms_key_arn" {
  type        = string
  description = "Key of Kubernetes' secrets and of the logs."
}
