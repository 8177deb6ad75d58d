variable "ingress_load_balancer" {
  type        = string
  description = "Name of the Ingress's load balancer, once Argo CD has brought it."
  default     = null
}
