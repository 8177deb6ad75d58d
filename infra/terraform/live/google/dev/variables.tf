variable "billing_account" {
  type        = string
  description = "The billing account that pays for the project."
}

variable "endpoint_zones" {
  type        = list(string)
  description = "Zones in which GKE keeps endpoints, once Argo CD has brought the platform."
  default     = []
}
