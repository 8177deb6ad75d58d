variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "project" {
  type        = string
  description = "The project."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "labels" {
  type        = map(string)
  description = "Labels of cluster and nodes."
}

variable "kubernetes_version" {
  type        = string
  description = "Version of Kubernetes that it begins with, as MAJOR.MINOR."
}

variable "machine_type" {
  type        = string
  description = "Size of the platform's nodes."
}

variable "least_nodes" {
  type        = number
  description = "The platform's nodes at least, all zones together."
}

variable "most_nodes" {
  type        = number
  description = "The platform's nodes at most."
}

variable "most_cores" {
  type        = number
  description = "Cores of all nodes at most."
}

variable "network_id" {
  type        = string
  description = "The network."
}

variable "subnet_id" {
  type        = string
  description = "Subnet of nodes."
}

variable "registry" {
  type = object({
    location = string
    name     = string
  })
  description = "Repository that nodes pull from."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}
