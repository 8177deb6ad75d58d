variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "resource_group" {
  type        = string
  description = "Resource group."
}

variable "location" {
  type        = string
  description = "Azure's name of the region."
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
}

variable "kubernetes_version" {
  type        = string
  description = "Version of Kubernetes, as MAJOR.MINOR."
}

variable "system_size" {
  type        = string
  description = "Size of the nodes of the system's own pods."
  default     = "Standard_D4ds_v5"
}

variable "node_size" {
  type        = string
  description = "Size of the platform's nodes."
}

variable "least_nodes" {
  type        = number
  description = "The platform's nodes at least."
}

variable "most_nodes" {
  type        = number
  description = "The platform's nodes at most."
}

variable "administrator_groups" {
  type        = list(string)
  description = "Groups of Entra ID that administer the cluster."
}

variable "network_id" {
  type        = string
  description = "The network."
}

variable "subnet_id" {
  type        = string
  description = "Subnet of nodes."
}

variable "gateway_id" {
  type        = string
  description = "The application gateway that the Ingress is written to."
}

variable "gateway_subnet_id" {
  type        = string
  description = "Subnet of that gateway."
}

variable "registry_id" {
  type        = string
  description = "Registry that nodes pull from."
}

variable "log_workspace_id" {
  type        = string
  description = "Workspace of logs."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}

variable "rest_identity_id" {
  type        = string
  description = "Identity that uses that key."
}
